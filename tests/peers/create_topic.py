"""Creates a topic: create_topic.py BOOTSTRAP TOPIC PARTITIONS"""

import sys

from confluent_kafka.admin import AdminClient, NewTopic

bootstrap, topic, partitions = sys.argv[1:]
admin = AdminClient({"bootstrap.servers": bootstrap})
futures = admin.create_topics([NewTopic(topic, num_partitions=int(partitions), replication_factor=1)])
futures[topic].result(timeout=30)
