"""`facsimile delete`: remove a dataset."""

from app.cli.options import DatasetArgument, JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, say
from app.client.connect import connect


def delete(dataset: DatasetArgument, url: UrlOption = None, key: KeyOption = None, json_: JsonOption = False) -> None:
    """Remove a dataset from the service with all its samples; it is stopped first if it is under way."""
    client = connect(url, key)
    dataset = client.dataset_id(dataset)
    client.delete(dataset)
    if json_:
        as_json({"id": dataset, "deleted": True})
    else:
        say(f"{dataset} is deleted")
