"""Replay: recorded or made-up events without a broker.

sources.py     files of events (JSON lines, gzip, Parquet) -> messages
mapping.py     the YAML file that says which column of a table is what
tables.py      rows of a Parquet file -> JSON; needs pyarrow
scenarios.py   a synthetic credit-risk stream with known faults; scenarios_*.py are its parts
generated.py   such a stream as a source of messages, like a file of it
training.py    sources of training events -> columns for a reference
player.py      messages -> windows, alerts, dead letters, through the detector
"""
