"""Charts as SVG: one plotter for the report, the verdict, studies and the console."""
