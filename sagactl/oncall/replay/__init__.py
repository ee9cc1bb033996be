"""Production histories, decided anew by the table of the release that runs the command.

Pure but for `reading` and `command`.
"""
