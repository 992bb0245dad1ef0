"""The list of orders on a real PostgreSQL: how it follows the events, is read, is built anew, and is mended."""
