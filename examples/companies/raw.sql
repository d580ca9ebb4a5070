-- raw_companies: 20 columns of mixed types, with the NULLs, the spaces and the spellings of data that people typed in.
-- Everything follows from the row's number, so every run makes the same rows.
CREATE TABLE raw_companies (
	id bigint PRIMARY KEY,
	name text NOT NULL,
	email text,
	phone varchar(20),
	fax text,
	website text,
	street text,
	city text,
	state text,
	zip_code varchar(5),
	employees integer,
	revenue numeric(14,2),
	rating real,
	founded date,
	is_active boolean NOT NULL,
	updated_at timestamptz NOT NULL,
	attributes jsonb,
	tags text[],
	uid uuid NOT NULL,
	notes text
);

INSERT INTO raw_companies
SELECT
	i,
	'Company ' || i || (ARRAY[' Inc.', ' LLC', ' & Sons', ' Ltd', ''])[1 + h % 5],
	CASE WHEN h % 17 = 0 THEN NULL ELSE 'Contact' || i || '@Example-' || h % 997 || '.COM' END,
	'+1-' || lpad((h % 1000)::text, 3, '0') || '-' || lpad((i % 10000000)::text, 7, '0'),
	CASE WHEN h % 3 = 0 THEN '+1-555-' || h % 10000 END,
	CASE WHEN h % 5 = 0 THEN NULL ELSE 'https://www.example-' || h % 997 || '.com/' || i END,
	h % 9999 || ' ' || (ARRAY['Main', 'Oak', 'Maple', 'Second', 'Park'])[1 + h % 5] || ' Street',
	(ARRAY['New York', ' Boston', 'Chicago ', ' San José ', 'Saint-Louis', 'Zürich'])[1 + h % 6],
	(ARRAY['ny', 'MA', 'il', 'Ca', 'mo', NULL])[1 + h % 6],
	-- 300 zip codes, many with leading zeros; some rows have none.
	CASE WHEN h % 53 = 0 THEN NULL ELSE lpad((501 + (i % 300) * 331)::text, 5, '0') END,
	CASE WHEN h % 29 = 0 THEN 0 WHEN h % 31 = 0 THEN NULL ELSE h % 5000 END,
	CASE WHEN h % 37 = 0 THEN NULL ELSE (h % 1000000000)::numeric / 100 * (1 + i % 90) END,
	(h % 50)::real / 10,
	CASE WHEN h % 41 = 0 THEN NULL ELSE date '1901-03-01' + (h % 44000)::int END,
	h % 5 <> 0,
	timestamptz '2026-01-01 00:00:00+00' + (h % 31536000) * interval '1 second',
	jsonb_build_object('source', (ARRAY['web', 'fair', 'list'])[1 + h % 3], 'score', h % 100, 'ok', h % 2 = 0),
	ARRAY['t' || h % 7, 't' || h % 11],
	md5(i::text)::uuid,
	CASE WHEN h % 2 = 0 THEN repeat('Called again. ', 1 + (h % 12)::int) END
FROM (SELECT i, abs(hashint8extended(i, 2026) % 1000000007) AS h FROM generate_series(1, $ROWS$) i) r;

CREATE INDEX raw_companies_zip_code ON raw_companies (zip_code);
ANALYZE raw_companies;
