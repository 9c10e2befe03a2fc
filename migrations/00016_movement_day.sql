-- The ledger asks for the movements of its customers by generation and customer,
-- which is how the primary key begins. An index that begins with the generation,
-- too, looked as good to the planner while nothing was known of the table, and
-- walked every movement there is.

-- +goose Up
DROP INDEX customer_movement_day_idx;
-- The movements of a period, for lists and figures.
CREATE INDEX customer_movement_day_idx ON customer_movement (day);

-- +goose Down
DROP INDEX customer_movement_day_idx;
CREATE INDEX customer_movement_day_idx ON customer_movement (gen, day);
