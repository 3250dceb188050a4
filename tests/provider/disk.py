"""A Terraform provider for tests: each `disk_file` is a file in the folder that DISK_FOLDER names.

What it reads is what is there: whoever edits or removes a file behind Terraform's back has made drift. `content` is the file's
text, `tags` are the lines of the file beside it that ends in `.tags`. Started by Terraform, through `dev_overrides` or from a
folder of plugins. A Terraform before 1.0 speaks plugin protocol 5, which the framework doesn't: it is served here.
"""

import base64
import os
import tempfile
import threading
from concurrent import futures
from pathlib import Path

import grpc
import msgpack
from tf import runner, schema, types
from tf.gen import grpc_controller_pb2, tfplugin_pb2
from tf.iface import Provider, Resource
from tf.provider import ProviderServicer


class File(Resource):
    """`disk_file`: one file, and the map beside it."""

    def __init__(self, provider):
        self.folder = Path(os.environ["DISK_FOLDER"])

    @classmethod
    def get_name(cls):
        return "file"

    @classmethod
    def get_schema(cls):
        text = types.String()
        return schema.Schema(
            version=1,
            attributes=[
                schema.Attribute("id", text, computed=True),
                schema.Attribute("path", text, required=True, requires_replace=True),
                schema.Attribute("content", text, required=True),
                schema.Attribute("tags", types.Map(types.String()), optional=True),
            ],
        )

    def write(self, state):
        path = self.folder / state["path"]
        path.write_text(state["content"])
        tags = path.with_name(path.name + ".tags")
        if state["tags"]:
            tags.write_text("".join(f"{key}={value}\n" for key, value in sorted(state["tags"].items())))
        else:
            tags.unlink(missing_ok=True)
        return {**state, "id": state["path"]}

    def create(self, ctx, planned):
        return self.write(planned)

    def update(self, ctx, current, planned):
        return self.write(planned)

    def read(self, ctx, current):
        path = self.folder / current["path"]
        if not path.exists():
            return None
        tags = path.with_name(path.name + ".tags")
        found = dict(line.split("=", 1) for line in tags.read_text().splitlines()) if tags.exists() else None
        return {**current, "content": path.read_text(), "tags": found}

    def delete(self, ctx, current):
        path = self.folder / current["path"]
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".tags").unlink(missing_ok=True)


class Disk(Provider):
    """The provider; it has no configuration."""

    def get_model_prefix(self):
        return "disk_"

    def get_provider_schema(self, diags):
        return schema.Schema()

    def full_name(self):
        return "example.com/test/disk"

    def validate_config(self, diags, config):
        pass

    def configure_provider(self, diags, config):
        pass

    def get_data_sources(self):
        return []

    def get_resources(self):
        return [File]


# Protocol 5's methods that have another name in protocol 6. All their messages are the same bytes as far as this provider fills
# them, but for the configuration that protocol 5 wants back from PrepareProviderConfig.
RENAMED_SINCE_5 = {
    "GetSchema": "GetProviderSchema",
    "PrepareProviderConfig": "ValidateProviderConfig",
    "ValidateResourceTypeConfig": "ValidateResourceConfig",
    "ValidateDataSourceConfig": "ValidateDataResourceConfig",
    "Configure": "ConfigureProvider",
    "Stop": "StopProvider",
}
SAME_IN_5 = ["UpgradeResourceState", "ReadResource", "PlanResourceChange", "ApplyResourceChange"]


def serve_protocol_5(provider):
    """Serves until Terraform says Shutdown."""
    servicer = ProviderServicer(provider)
    ended = threading.Event()

    def prepared(request, context):
        servicer.ValidateProviderConfig(request, context)
        # Field 1 of protocol 5's response is what field 1 of the request was: the configuration.
        return request

    def shutdown(request, context):
        ended.set()
        return grpc_controller_pb2.Empty()

    def serialized(response):
        # The framework leaves out the state of what is not there; Terraform 0.12 wants it to be there, as null.
        if "new_state" in response.DESCRIPTOR.fields_by_name and not response.new_state.msgpack:
            response.new_state.msgpack = msgpack.packb(None)
        return response.SerializeToString()

    def handler(name):
        message = getattr(tfplugin_pb2, name)
        method = prepared if name == "ValidateProviderConfig" else getattr(servicer, name)
        return grpc.unary_unary_rpc_method_handler(
            method, request_deserializer=message.Request.FromString, response_serializer=serialized
        )

    methods = {old: handler(new) for old, new in (RENAMED_SINCE_5 | {name: name for name in SAME_IN_5}).items()}
    controller = grpc.unary_unary_rpc_method_handler(
        shutdown,
        request_deserializer=grpc_controller_pb2.Empty.FromString,
        response_serializer=grpc_controller_pb2.Empty.SerializeToString,
    )
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler("tfplugin5.Provider", methods),
            grpc.method_handlers_generic_handler("plugin.GRPCController", {"Shutdown": controller}),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        socket = f"{folder}/socket"
        certificate, credentials = runner._self_signed_cert()
        server.add_secure_port(f"unix://{socket}", credentials)
        server.start()
        certificate = base64.b64encode(certificate).decode().rstrip("=")
        print("1", "5", "unix", socket, "grpc", certificate, sep="|", flush=True)
        ended.wait()
        server.stop(grace=0.5).wait()


if __name__ == "__main__":
    if "6" in os.environ.get("PLUGIN_PROTOCOL_VERSIONS", "6").split(","):
        runner.run_provider(Disk())
    else:
        serve_protocol_5(Disk())
