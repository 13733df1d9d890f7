"""Bus: everything that talks to Kafka.

connection.py   where Kafka is and how the link is protected; one set of arguments for all clients
topics.py       which topics there are, with which partitions and retention; creates and checks them
"""
