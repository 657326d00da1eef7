"""`facsimile cancel`: stop a dataset."""

from app.cli.options import DatasetArgument, JsonOption, KeyOption, UrlOption
from app.cli.output import as_json, say
from app.client.connect import connect


def cancel(dataset: DatasetArgument, url: UrlOption = None, key: KeyOption = None, json_: JsonOption = False) -> None:
    """Stop a dataset that is under way."""
    client = connect(url, key)
    dataset = client.dataset_id(dataset)
    found = client.cancel(dataset)
    if json_:
        as_json(found)
    else:
        say(f"{dataset} is {found['state']}")
