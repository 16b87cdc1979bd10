"""The line after a magic's name → typed options, or one clear sentence.

portforward  `%portforward`                  slips     what is typed in the place of a target
kfwd         `%kfwd`: the table of its commands
listing      `%kfwd pods`, `services`, `status`
nsenter      `%kfwd nsenter`                 fault     `%kfwd fault`
place        which cluster and namespace     defaults  what a line means where it says nothing
line         a line → words                  parser    argparse that raises
"""
