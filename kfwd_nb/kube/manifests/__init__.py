"""From a document to typed objects, or to the one field that is wrong.

A manifest file is one such document; the body of a request to the relay is another.
"""
