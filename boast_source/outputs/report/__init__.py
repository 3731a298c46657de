"""The report: one HTML file over the views, for people who do not write SQL.

figures.py reads the numbers, bins.py adds days up, claims.py tells differences from chance, charts.py fills the
specifications of charts.yml, draw.py draws them in a process of its own, page.py puts all of it on the page.
"""
