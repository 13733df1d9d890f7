"""Driftline: watches every prediction on the message bus.

The pipeline, file by file:

detect/ingest/codec.py      message bytes → JSON values
detect/ingest/events.py     → checked events, refusals; fields.py checks values, batches.py takes
                            columnar batches apart
detect/ingest/columns.py    → one array per feature
detect/ingest/windows.py    event time → pane and part; the watermark
detect/ingest/sketches.py   → sketches, a row per open part
detect/ingest/ingestor.py   → partials of complete parts
detect/partials.py          → bytes, and back
detect/judge/sources.py     markers of source partitions → the watermark
detect/judge/gather.py      → merged windows that are due
detect/judge/measures.py    → distances from the references
detect/judge/summaries.py   → the numbers of a window
detect/judge/rules.py       → findings: ok, breach, no_data, not_enough_data
detect/judge/alerts.py      → alert events
detect/judge/causes.py      a finding → likely causes, and one plain sentence
detect/judge/judge.py       the judge's stages in order, as ingestor.py is the other side's
detect/references.py        what windows are compared with; profiles.py makes it from training data
detect/detector.py          makes both halves; driven by agents.py, replay/ and tests
bus/                        Kafka: lanes in, producer out, topics, references
app.py, agents.py           the Faust app around it
"""
