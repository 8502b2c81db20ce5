-- A run may go on from an earlier generation of another one, whose later agents are set aside.
-- Agents up to that generation, it included, are the other run's.

ALTER TABLE run ADD COLUMN origin BIGINT REFERENCES run (node);
ALTER TABLE run ADD COLUMN origin_generation BIGINT;
