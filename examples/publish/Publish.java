// Publish predictions from Java: one event per message, idempotent, compressed.
//
// Run: java -cp 'kafka-clients.jar:lz4-java.jar:slf4j-api.jar' Publish.java localhost:9092

import java.util.Locale;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

public class Publish {
    static final String EVENT = "{\"id\": \"java-%d\", \"model\": \"arrival-delay\", \"version\": \"3\", \"ts\": %d,"
        + " \"features\": {\"dep_delay\": %.1f, \"carrier\": \"UA\"}, \"prediction\": {\"score\": %.3f}, \"latency_ms\": 12.4}";

    public static void main(String[] arguments) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("enable.idempotence", "true"); // or a retry could count an event twice
        settings.put("compression.type", "lz4");
        settings.put("linger.ms", "50");
        settings.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        settings.put("value.serializer", "org.apache.kafka.common.serialization.StringSerializer");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings)) {
            for (int number = 0; number < 1000; number++) {
                String event = String.format(Locale.ROOT, EVENT,
                    number, System.currentTimeMillis(), number % 60 - 3.0, number / 1000.0);
                producer.send(new ProducerRecord<>("predictions", event));
            }
        }
    }
}
