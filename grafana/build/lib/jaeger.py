"""Query of Grafana's Jaeger datasource, which the SDK does not have."""

from dataclasses import dataclass

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery

from grafana.build.lib.datasource import JAEGER


@dataclass(frozen=True)
class JaegerQuery(Dataquery, Builder[Dataquery]):
    """Search for the newest traces of a service, or the service graph.

    ref_id: name of the query within its panel
    query_type: `search` or `dependencyGraph`
    service: the service whose traces are searched
    tags: tags that a trace must carry, as `key=value`
    limit: most traces returned
    """

    ref_id: str
    query_type: str
    service: str = ""
    tags: str = ""
    limit: int = 20

    def build(self) -> Dataquery:
        """Return itself: the query is already a value."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return the query as Grafana's JSON."""
        shared: dict[str, object] = {"refId": self.ref_id, "queryType": self.query_type, "datasource": JAEGER}
        if self.query_type != "search":
            return shared
        return {**shared, "service": self.service, "tags": self.tags, "limit": self.limit}
