# The Python versions that mnistkit supports. tools/preflight.py imports this file under any Python, however old,
# so it contains two assignments and nothing else.
OLDEST = (3, 11)
NEWEST_FOR_TENSORFLOW = (3, 13)
