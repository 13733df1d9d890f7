"""Bus: everything that talks to Kafka.

connection.py        where Kafka is and how the link is protected; one set of arguments for all
topics.py            which topics there are, how many partitions, how long kept; makes, checks
lane.py              consumer → agents: batches, back-pressure, offsets committed when safe
lane_events.py       what a lane says to its agent; starts.py  where a partition begins
raw.py               a fetch's record batches as positions in one buffer
losses.py            records that nobody will read, as dead letters
producer.py          agents → topics: idempotent, every send awaited, tried until it is done
failpoints.py        where a test may end the process
reference_store.py   the compacted references topic, read by every worker
publisher.py         services → predictions: never waits, drops and counts instead
envelopes.py         events → few columnar messages
bulk.py, tail.py     outside a worker: fill a topic quickly; read one without a group
"""
