"""Reads a topic from its beginning, sharing no code with the sink: read_topic.py BOOTSTRAP TOPIC COUNT SECONDS

Stops at COUNT messages or after SECONDS, whichever is first; COUNT 0 reads until the end of every partition.
Prints one JSON line per message: partition, offset, key, headers, value. Bytes that are not UTF-8 are shown in
replacement characters: everything we publish is text.
"""

import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

bootstrap, topic, count, seconds = sys.argv[1:]
count, deadline = int(count), time.monotonic() + float(seconds)
consumer = Consumer(
    {
        "bootstrap.servers": bootstrap,
        # Required by the client, unused: partitions are assigned by hand and nothing is committed.
        "group.id": "reader",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        # Messages of an open transaction are not there yet.
        "isolation.level": "read_committed",
    }
)


def text(data):
    return None if data is None else data.decode(errors="replace")


def show(message):
    print(
        json.dumps(
            {
                "partition": message.partition(),
                "offset": message.offset(),
                "key": text(message.key()),
                "headers": {name: text(value) for name, value in message.headers() or []},
                "value": text(message.value()),
            }
        )
    )


partitions = consumer.list_topics(topic, timeout=max(1.0, float(seconds))).topics[topic].partitions
if not partitions:
    sys.exit(f"there is no topic {topic}")
consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])

seen, ended = 0, set()
while (count == 0 or seen < count) and (left := deadline - time.monotonic()) > 0:
    for message in consumer.consume(num_messages=max(1, min(500, count - seen)) if count else 500, timeout=min(left, 0.2)):
        if message.error() is None:
            seen += 1
            show(message)
        elif message.error().code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
        elif not message.error().retriable():
            raise KafkaException(message.error())
    if count == 0 and ended == set(partitions):
        break
consumer.close()
