#!/usr/bin/env bash
# Publish predictions through a Kafka REST proxy (Confluent's API, version 2), a thousand in ten calls.
#
# Run: examples/publish/with_curl.sh http://localhost:8082
set -euo pipefail

for call in $(seq 0 9); do
  records=""
  for i in $(seq 0 99); do
    number=$((call * 100 + i))
    event="{\"id\": \"curl-$number\", \"model\": \"arrival-delay\", \"version\": \"3\", \"ts\": $(date +%s)000,
      \"features\": {\"dep_delay\": $((number % 60 - 3)), \"carrier\": \"UA\"}, \"prediction\": {\"score\": 0.5}, \"latency_ms\": 12.4}"
    records="$records${records:+, }{\"value\": $event}"
  done
  curl --fail --silent --show-error --output /dev/null \
    --header 'Content-Type: application/vnd.kafka.json.v2+json' \
    --data "{\"records\": [$records]}" \
    "$1/topics/predictions"
done
