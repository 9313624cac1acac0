#!/bin/sh
exec /opt/java/bin/java ${KAFKA_HEAP_OPTS:--Xmx512m} -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:+ExitOnOutOfMemoryError \
  -Dlog4j2.configurationFile=/opt/kafka/bin/log4j2.properties -cp "/opt/kafka/libs/*" kafka.Kafka "$1"
