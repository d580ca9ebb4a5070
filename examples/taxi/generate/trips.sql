-- One file of trips. {{first}} and {{rows}} say which trips, {{seed}} which world, {{file}} where they go.
-- Random numbers are hashes of the trip's number, so a trip is the same in however many files the trips are.
COPY (
	WITH trip AS (
		SELECT
			i,
			(hash(i * 16 + 1, {{seed}}) >> 11) / 9007199254740992.0 AS r1,
			(hash(i * 16 + 2, {{seed}}) >> 11) / 9007199254740992.0 AS r2,
			(hash(i * 16 + 3, {{seed}}) >> 11) / 9007199254740992.0 AS r3,
			(hash(i * 16 + 4, {{seed}}) >> 11) / 9007199254740992.0 AS r4,
			(hash(i * 16 + 5, {{seed}}) >> 11) / 9007199254740992.0 AS r5,
			(hash(i * 16 + 6, {{seed}}) >> 11) / 9007199254740992.0 AS r6,
			(hash(i * 16 + 7, {{seed}}) >> 11) / 9007199254740992.0 AS r7,
			(hash(i * 16 + 8, {{seed}}) >> 11) / 9007199254740992.0 AS r8
		FROM range({{first}}, {{first}} + {{rows}}) t (i)
	),
	ride AS (
		SELECT
			*,
			-- Most trips are short: an exponential distance with a mean of 2.9 miles, and some dirt.
			CASE
				WHEN r1 < 0.006 THEN 0.0
				WHEN r1 < 0.0061 THEN -round(10 * r2, 2)
				WHEN r1 < 0.00611 THEN round(1e6 * r2, 2)
				ELSE round(-2.9 * ln(1 - r2 * 0.99999), 2)
			END AS distance,
			TIMESTAMP '2017-01-01' + to_seconds(CAST(floor(365 * 86400 * (i + r3) / {{total}}) AS BIGINT)) AS pickup,
			CASE WHEN r4 < 0.68 THEN '1' WHEN r4 < 0.985 THEN '2' WHEN r4 < 0.992 THEN '3' WHEN r4 < 0.998 THEN '4' ELSE '5' END AS paid
		FROM trip
	),
	fare AS (
		SELECT
			*,
			greatest(60, CAST(round(abs(distance) * (180 + 300 * r5) + 600 * r6 * r6) AS BIGINT) % 90000) AS seconds,
			CASE WHEN r7 < 0.0004 THEN -1 ELSE 1 END * round(2.5 + 2.5 * least(abs(distance), 200) + 3 * r6, 1) AS fare_amount
		FROM ride
	)
	SELECT
		CASE WHEN r5 < 0.45 THEN '1' WHEN r5 < 0.999 THEN '2' ELSE '4' END AS vendor_id,
		pickup AS pickup_at,
		-- A few meters ran backwards.
		CASE WHEN r8 < 0.00005 THEN pickup - to_seconds(seconds) ELSE pickup + to_seconds(seconds) END AS dropoff_at,
		CASE
			WHEN r6 < 0.010 THEN NULL
			WHEN r6 < 0.012 THEN 0
			WHEN r6 < 0.720 THEN 1
			WHEN r6 < 0.860 THEN 2
			WHEN r6 < 0.900 THEN 3
			WHEN r6 < 0.920 THEN 4
			WHEN r6 < 0.970 THEN 5
			WHEN r6 < 0.9990 THEN 6
			WHEN r6 < 0.9995 THEN 7
			WHEN r6 < 0.9998 THEN 8
			ELSE 9
		END::TINYINT AS passenger_count,
		distance::FLOAT AS trip_distance,
		CASE WHEN r8 < 0.015 THEN 0 ELSE -73.98 + (r1 - 0.5) * 0.12 END::FLOAT AS pickup_longitude,
		CASE WHEN r8 < 0.015 THEN 0 ELSE 40.75 + (r3 - 0.5) * 0.12 END::FLOAT AS pickup_latitude,
		CASE WHEN r7 < 0.97 THEN '1' WHEN r7 < 0.99 THEN '2' WHEN r7 < 0.995 THEN '5' WHEN r7 < 0.9999 THEN '3' ELSE '99' END AS rate_code_id,
		CASE WHEN r8 < 0.5 THEN NULL WHEN r8 < 0.997 THEN 'N' ELSE 'Y' END AS store_and_fwd_flag,
		CASE WHEN r8 < 0.017 THEN NULL ELSE -73.98 + (r4 - 0.5) * 0.16 END::FLOAT AS dropoff_longitude,
		CASE WHEN r8 < 0.017 THEN NULL ELSE 40.75 + (r7 - 0.5) * 0.16 END::FLOAT AS dropoff_latitude,
		paid AS payment_type,
		fare_amount::FLOAT AS fare_amount,
		CASE WHEN hour(pickup) BETWEEN 16 AND 19 THEN 1.0 WHEN hour(pickup) >= 20 OR hour(pickup) < 6 THEN 0.5 ELSE 0.0 END::FLOAT AS extra,
		0.5::FLOAT AS mta_tax,
		CASE WHEN paid = '1' THEN round(abs(fare_amount) * 0.3 * r8, 2) ELSE 0 END::FLOAT AS tip_amount,
		CASE WHEN distance > 8 AND r3 < 0.4 THEN 5.76 ELSE 0 END::FLOAT AS tolls_amount,
		0.3::FLOAT AS improvement_surcharge,
		round(fare_amount + 0.8 + CASE WHEN paid = '1' THEN abs(fare_amount) * 0.3 * r8 ELSE 0 END, 2)::FLOAT AS total_amount
	FROM fare
) TO {{file}} (FORMAT parquet, ROW_GROUP_SIZE 122880)
