-- The shop's databases, each with a role that alone may connect to it. Run by psql, with passwords from secrets. Existing
-- databases and roles are kept, and their passwords updated.
\set ON_ERROR_STOP on
\set order_password `cat /run/secrets/order_password`
\set inventory_password `cat /run/secrets/inventory_password`
\set notification_password `cat /run/secrets/notification_password`
\set exporter_password `cat /run/secrets/exporter_password`

-- Purpose: a role for each database, and one for the exporter, which may read statistics but no rows.
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['order', 'order_read', 'inventory', 'notification', 'exporter']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SET log_statement = 'none';
ALTER ROLE "order" PASSWORD :'order_password';
ALTER ROLE order_read PASSWORD :'order_password';
ALTER ROLE inventory PASSWORD :'inventory_password';
ALTER ROLE notification PASSWORD :'notification_password';
ALTER ROLE exporter PASSWORD :'exporter_password';
GRANT pg_monitor TO exporter;

-- Purpose: upper limits; each call sets its own, shorter ones.
SELECT format('ALTER ROLE %I SET %s', name, limits)
FROM unnest(ARRAY['order', 'order_read', 'inventory', 'notification']) AS name,
     unnest(ARRAY['statement_timeout = ''10s''', 'lock_timeout = ''2s''',
                  'idle_in_transaction_session_timeout = ''10s''']) AS limits \gexec

-- Purpose: a database for each role, owned by it and with its name.
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING ''UTF8''', name, name)
FROM unnest(ARRAY['order', 'order_read', 'inventory', 'notification']) AS name
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', datname) FROM pg_database WHERE datallowconn \gexec
GRANT CONNECT ON DATABASE postgres TO exporter;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
