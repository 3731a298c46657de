"""The report: one HTML file made from the views, for people who do not write SQL.

figures.py reads the numbers, bins.py aggregates days, claims.py tests differences for significance, charts.py fills the
specifications of charts.yml, draw.py draws them in a child process, page.py renders the page.
"""
