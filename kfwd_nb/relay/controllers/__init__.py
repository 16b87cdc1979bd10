"""What keeps the store true by itself: each controller looks at all of it, and acts on what lacks.

They know the store and nothing else of the relay; `running` says how they run.
"""
