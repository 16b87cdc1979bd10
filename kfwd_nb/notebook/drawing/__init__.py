"""What is drawn: what the client knows goes in, HTML and text come out. Nothing is shown here.

    bundles      whatever it is, in both forms     render  rows → HTML and text (templates/)
    table, rows  forwards and their connections    spark   bytes a second
    hop_picture  the way of a forward              units   numbers as people read them
    traced       a trace                           lines   the line to copy (lines.toml)
    playing      one request of it, step by step

It knows no IPython, no widget and no loop, so a test of it is a call.
"""
