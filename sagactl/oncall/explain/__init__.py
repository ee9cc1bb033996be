"""Where an order's messages are: each that must exist is computed, and looked up where it leaves its mark.

Pure but for `reading` and `command`, which read the marks and print what is made of them.
"""
