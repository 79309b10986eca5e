"""A web server with a policy for MTA-STS: address, port, certificate, key; says "ready" and serves until it is ended."""

import http.server
import ssl
import sys

POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: good.hosts.example\r\nmax_age: 604800\r\n"


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path == "/.well-known/mta-sts.txt"
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(POLICY)))
        self.end_headers()
        self.wfile.write(POLICY)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Site)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
