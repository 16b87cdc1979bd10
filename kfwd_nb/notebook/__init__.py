"""What a person touches in a notebook: the two magics, the live table, completion, results.

    extension     what `%load_ext` registers, and takes back
    portforward   `%portforward`                    cell      `%%portforward`
    kfwd          `%kfwd`                           arguments  a line → typed options
    embedded      the cluster of `%kfwd up`         listing   what a cluster holds
    nsenter       a command in a pod's network      results   what the magics return
    table, rows   forwards → rows (pure)            render    rows → HTML and text (templates/)
    spark         bytes a second, drawn (pure)      lines     the line to copy (lines.toml)
    units         numbers as people read them       wait      what a `%portforward` waits for
    live          tables that follow forwards       output    one output, replaced in place
    progress      what takes long                   notice    what an exec plugin says
    fault         `%kfwd fault`                   recorded  cells that not every place allows
    settings      `%config Kfwd`                    proxies   what would catch a local port
    shown         everything is shown exactly once  completion  the Tab key
    traced        a trace's table                   playing   one request of it, step by step
    hop_picture   a forward's way, drawn (pure)     hop_live  the same, followed
    bundles       where no extension is loaded      dashboard  all forwards, for the mouse
    demo          `make demo`

IPython is imported here and nowhere else. Nothing heavy is imported before it is used, because
`%load_ext` is the first thing a notebook does.
"""
