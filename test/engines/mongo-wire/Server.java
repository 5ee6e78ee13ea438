// The stand-in for MongoDB that tests start: mongo-java-server, in memory, saying that it speaks a newer wire protocol.
//
//   java Server <port> <wire version>

import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.exception.MongoServerError;
import io.netty.channel.Channel;
import java.util.List;

public class Server {
  public static void main(String[] args) throws Exception {
    int port = Integer.parseInt(args[0]);
    int wireVersion = Integer.parseInt(args[1]);
    MemoryBackend backend =
        new MemoryBackend() {
          @Override
          public Document handleCommand(
              Channel channel, String database, String command, Document query) {
            // There are no accounts here: who brings a password brings a wrong one.
            if (command.equals("saslStart")) {
              throw new MongoServerError(18, "AuthenticationFailed", "Authentication failed.");
            }
            // It knows this command by its old name only.
            String known = command.equals("hello") ? "isMaster" : command;
            return super.handleCommand(channel, database, known, query);
          }
        };
    // The library says 8 (MongoDB 4.2), and drivers of today turn away from that. What they send to a newer server it knows.
    backend.version(
        new MongoVersion() {
          @Override
          public List<Integer> getVersionArray() {
            return List.of(5, 0, 0);
          }

          @Override
          public int getWireVersion() {
            return wireVersion;
          }
        });
    MongoServer server = new MongoServer(backend);
    server.bind("127.0.0.1", port);
    Runtime.getRuntime().addShutdownHook(new Thread(server::shutdown));
    Thread.currentThread().join();
  }
}
