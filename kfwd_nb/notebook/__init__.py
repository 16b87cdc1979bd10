"""What a person touches in a notebook: the two magics, the live table, completion, results.

    extension     what `%load_ext` registers, and takes back
    portforward   `%portforward`            cell    `%%portforward`
    kfwd          `%kfwd`                   embedded    the cluster that `%kfwd up` started
    arguments     a line of words → typed options
    table         forwards → rows (pure)    results     what the magics return
    render        rows → HTML and text      live        displays that follow their forwards
    shown         everything is shown exactly once
    listing       what a cluster holds      completion  the same, for the Tab key

IPython is imported here and nowhere else. Nothing heavy is imported before it is used, because
`%load_ext` is the first thing a notebook does.
"""
