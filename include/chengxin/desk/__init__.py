"""The desk: an indexed copy of what the pages show of the lake.

The lake answers a question about a day in a second, by scanning; a page has some twelve milliseconds. So what pages
show is kept in a relational database besides, brought up to date by the number of the commit (`refresh`), and made from
nothing but the lake: it can be deleted and made again at any time.
"""

from chengxin.desk.store import Desk

__all__ = ["Desk"]
