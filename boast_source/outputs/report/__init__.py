"""The report: one HTML file over the views, for people who do not write SQL.

figures.py reads the numbers, charts.py draws them, page.py puts them on the page, output.py writes the file.
"""
