"""`sagactl load`: customers who order so many times a second, and do as they are told when refused."""
