"""The command line: options, progress, summaries."""
