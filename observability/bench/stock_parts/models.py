"""Tables of both services as SQLAlchemy models, in a schema of their own."""

from uuid import UUID

from sqlalchemy import ForeignKey, MetaData, String
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA = "stock_parts"
POOL_WAIT_SECONDS = 5.0

Sessions = async_sessionmaker[AsyncSession]


class OrderBase(DeclarativeBase):
    """Tables of the order service."""

    metadata = MetaData(schema=SCHEMA)


class InventoryBase(DeclarativeBase):
    """Tables of the inventory service."""

    metadata = MetaData(schema=SCHEMA)


class PointsBase(DeclarativeBase):
    """Tables of the order service that a fault adds."""

    metadata = MetaData(schema=SCHEMA)


class OrderRow(OrderBase):
    """An order: PENDING, CONFIRMED or REJECTED."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[UUID]
    request_id: Mapped[str] = mapped_column(String(200), unique=True)
    state: Mapped[str]
    total_minor: Mapped[int] = mapped_column(default=0)
    lines: Mapped[list["OrderLineRow"]] = relationship(lazy="selectin")


class OrderLineRow(OrderBase):
    """A line of an order, priced once it is sold."""

    __tablename__ = "order_lines"

    order_id: Mapped[UUID] = mapped_column(ForeignKey(OrderRow.id), primary_key=True)
    line_number: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str]
    quantity: Mapped[int]
    unit_price_minor: Mapped[int | None]


class PointsRow(PointsBase):
    """An entry of a customer's points; only the fault `payload` has this table."""

    __tablename__ = "points"

    customer_id: Mapped[UUID] = mapped_column(primary_key=True)
    entry: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[int]


class ItemRow(InventoryBase):
    """The stock of one SKU, in units."""

    __tablename__ = "items"

    sku: Mapped[str] = mapped_column(primary_key=True)
    on_hand: Mapped[int]
    reserved: Mapped[int]
    unit_price_minor: Mapped[int]


class ReservationRow(InventoryBase):
    """Stock set aside for one order: PENDING, or CONFIRMED."""

    __tablename__ = "reservations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str]


class ReservationLineRow(InventoryBase):
    """A line of a reservation."""

    __tablename__ = "reservation_lines"

    reservation_id: Mapped[UUID] = mapped_column(primary_key=True)
    line_number: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str]
    quantity: Mapped[int]
    unit_price_minor: Mapped[int]


def open_engine(dsn: str, *, pool_size: int) -> AsyncEngine:
    """Return an engine with a bounded pool; it connects when it is first used."""
    url = dsn.replace("postgresql://", "postgresql+asyncpg://", 1).replace("sslmode=", "ssl=")
    return create_async_engine(url, pool_size=pool_size, max_overflow=0, pool_timeout=POOL_WAIT_SECONDS)


def open_sessions(engine: AsyncEngine) -> Sessions:
    """Return a factory of sessions whose objects stay readable after a commit."""
    return async_sessionmaker(engine, expire_on_commit=False)
