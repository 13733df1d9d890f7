"""Kafka: what the embedded broker (`stream/broker.py`) needs beside itself."""
