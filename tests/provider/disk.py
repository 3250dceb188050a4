"""A Terraform provider for tests: each `disk_file` is a file in the folder that DISK_FOLDER names.

What it reads is what is there: whoever edits or removes a file behind Terraform's back has made drift. `content` is the file's
text, `tags` are the lines of the file beside it that ends in `.tags`. Started by Terraform through `dev_overrides`.
"""

import os
from pathlib import Path

from tf import schema, types
from tf.iface import Provider, Resource
from tf.runner import run_provider


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


if __name__ == "__main__":
    run_provider(Disk())
