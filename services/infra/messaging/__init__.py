"""How events leave one context and reach the others: outbox, relay, log, consumer."""
