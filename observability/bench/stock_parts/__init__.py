"""The same PlaceOrder made of stock parts: FastAPI, SQLAlchemy, gRPC and their published instrumentations.

It is what the platform is compared with, and a system whose spans nobody here wrote. It keeps these promises: an order
is stored before its stock is reserved, a repeat with the same key returns the first order, an order is sold whole or
not at all, and no stock is sold twice.

It does not promise what takes most of the platform's code: no saga finishes an order that a crash interrupted, no event
leaves the process, nobody is notified, a reservation does not expire, a repeat with another body is not noticed, no
deadline reaches the database, and overload is not rejected. Its orders cannot be read, listed or cancelled.
"""
