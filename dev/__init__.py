"""The local stack: real servers and every service as processes of one machine."""
