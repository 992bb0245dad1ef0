"""Program that moves logical shards between servers of orders, for a campaign to kill."""
