"""How is Jaeger asked? The query of Grafana's Jaeger datasource, which the SDK does not have."""

from dataclasses import dataclass

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery

from grafana.build.lib.datasource import JAEGER


@dataclass(frozen=True)
class JaegerQuery(Dataquery, Builder[Dataquery]):
    """A search for the newest traces of a service, or the graph of who calls whom."""

    ref_id: str
    query_type: str
    service: str = ""
    tags: str = ""
    limit: int = 20

    def build(self) -> Dataquery:
        """Return itself: a value needs no building."""
        return self

    def to_json(self) -> dict[str, object]:
        """Return the query in Grafana's words."""
        shared: dict[str, object] = {"refId": self.ref_id, "queryType": self.query_type, "datasource": JAEGER}
        if self.query_type != "search":
            return shared
        return {**shared, "service": self.service, "tags": self.tags, "limit": self.limit}
