# Which Pythons this project runs on. Read by tools/preflight.py under any Python, however old, so it
# holds two assignments and nothing else.
OLDEST = (3, 11)
NEWEST_FOR_TENSORFLOW = (3, 13)
