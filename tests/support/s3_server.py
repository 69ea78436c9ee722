"""An S3 server on this machine. The program prints its port, and serves until it is killed.

Requests are answered one after the other, because moto checks a condition (`If-Match`) and puts the object in two
separate steps.
"""

import sys

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class Silent(WSGIRequestHandler):
    def log(self, *args):
        pass


if __name__ == "__main__":
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, application, threaded=False, request_handler=Silent)
    print(server.server_port, flush=True)
    sys.exit(server.serve_forever())
