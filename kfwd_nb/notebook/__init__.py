"""What a person touches in a notebook: the two magics, the live table, completion, results.

    extension     what `%load_ext` registers, and takes back
    portforward   `%portforward`                    cell      `%%portforward`
    kfwd          `%kfwd`                           arguments  a line → typed options
    embedded      the cluster of `%kfwd up`         listing   what a cluster holds
    nsenter       a command in a pod's network      results   what the magics return
    drawing       forwards → rows → HTML and text   live      tables that follow forwards
    hop_live      the way of a forward, followed    output    one output, replaced in place
    wait          what a `%portforward` waits for   progress  what takes long
    notice        what an exec plugin says          fault     `%kfwd fault`
    recorded      cells that not every place allows  settings  `%config Kfwd`
    proxies       what would catch a local port     completion  the Tab key
    shown         everything is shown exactly once  dashboard  all forwards, for the mouse
    demo          `make demo`

IPython is imported here and nowhere else. Nothing heavy is imported before it is used, because
`%load_ext` is the first thing a notebook does.
"""
