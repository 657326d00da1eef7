"""A link to the console that signs in once: who may read the data folder may sign in."""

from pydantic_settings import DotEnvSettingsSource

from app.access import ApiKeys
from app.config import Settings
from app.sessions import Sessions
from app.stack.errors import StackError
from app.stack.folder import DataFolder, read_json
from app.storage import open_store


def invite(folder: DataFolder) -> str:
    """URL that signs in once to the service that runs on a folder; raises StackError where none runs."""
    service = read_json(folder.service)
    if not service or not folder.settings.is_file():
        raise StackError(f"no service runs on {folder.root}; 'facsimile up' starts one")
    settings = Settings(**DotEnvSettingsSource(Settings, env_file=folder.settings)())
    store = open_store(settings.store)
    token = Sessions(store, ApiKeys(store)).invite(folder.api_key.read_text().strip())
    return f"{service['url']}/signin?link={token}"
