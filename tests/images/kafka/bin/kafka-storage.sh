#!/bin/sh
exec /opt/java/bin/java -Xmx128m -cp "/opt/kafka/libs/*" kafka.tools.StorageTool "$@"
