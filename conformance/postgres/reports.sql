-- 1. revenue by country, with share of the whole
SELECT billing_country, count(*) AS invoices, sum(total) AS revenue,
       round(100 * sum(total) / (SELECT sum(total) FROM invoice), 2) AS percent
FROM invoice GROUP BY billing_country ORDER BY revenue DESC, billing_country;
-- 2. the ten customers who spent most
SELECT c.customer_id, c.first_name || ' ' || c.last_name AS name, c.country, sum(i.total) AS spent
FROM customer c JOIN invoice i ON i.customer_id = c.customer_id
GROUP BY c.customer_id, c.first_name, c.last_name, c.country
ORDER BY spent DESC, c.customer_id LIMIT 10;
-- 3. tracks never sold, by genre
SELECT g.name, count(*) AS unsold
FROM track t JOIN genre g USING (genre_id)
WHERE NOT EXISTS (SELECT 1 FROM invoice_line l WHERE l.track_id = t.track_id)
GROUP BY g.name ORDER BY unsold DESC, g.name;
-- 4. sales by year and month, with a running total
SELECT date_trunc('month', invoice_date) AS month, sum(total) AS sales,
       sum(sum(total)) OVER (PARTITION BY date_trunc('year', invoice_date) ORDER BY date_trunc('month', invoice_date)) AS year_to_date
FROM invoice GROUP BY date_trunc('month', invoice_date), date_trunc('year', invoice_date) ORDER BY month;
-- 5. best seller of each genre
SELECT genre, track, sold FROM (
  SELECT g.name AS genre, t.name AS track, count(*) AS sold,
         row_number() OVER (PARTITION BY g.genre_id ORDER BY count(*) DESC, t.name, t.track_id) AS place
  FROM invoice_line l JOIN track t ON t.track_id = l.track_id JOIN genre g ON g.genre_id = t.genre_id
  GROUP BY g.genre_id, g.name, t.track_id, t.name) ranked
WHERE place = 1 ORDER BY genre;
-- 6. employees under each manager, recursively
WITH RECURSIVE chain AS (
  SELECT employee_id, last_name, reports_to, 0 AS level, last_name::text AS path FROM employee WHERE reports_to IS NULL
  UNION ALL
  SELECT e.employee_id, e.last_name, e.reports_to, c.level + 1, c.path || ' > ' || e.last_name
  FROM employee e JOIN chain c ON e.reports_to = c.employee_id)
SELECT level, path FROM chain ORDER BY path;
-- 7. albums with their length as an interval
SELECT a.title, count(*) AS tracks, sum(t.milliseconds) AS ms,
       (sum(t.milliseconds) / 1000) * interval '1 second' AS length
FROM album a JOIN track t ON t.album_id = a.album_id
GROUP BY a.album_id, a.title HAVING count(*) > 20 ORDER BY ms DESC, a.title;
-- 8. customers by support representative
SELECT e.first_name, e.last_name, count(c.customer_id) AS customers, string_agg(c.last_name, ', ' ORDER BY c.last_name, c.customer_id) AS names
FROM employee e LEFT JOIN customer c ON c.support_rep_id = e.employee_id
GROUP BY e.employee_id, e.first_name, e.last_name ORDER BY e.employee_id;
-- 9. artists with albums in several genres
SELECT ar.name, count(DISTINCT t.genre_id) AS genres, array_agg(DISTINCT g.name ORDER BY g.name) AS list
FROM artist ar JOIN album al ON al.artist_id = ar.artist_id JOIN track t ON t.album_id = al.album_id JOIN genre g ON g.genre_id = t.genre_id
GROUP BY ar.artist_id, ar.name HAVING count(DISTINCT t.genre_id) > 2 ORDER BY genres DESC, ar.name;
-- 10. invoices above their country's average
SELECT i.invoice_id, i.billing_country, i.total
FROM invoice i
WHERE i.total > (SELECT avg(j.total) * 2 FROM invoice j WHERE j.billing_country = i.billing_country)
ORDER BY i.total DESC, i.invoice_id;
-- 11. quartiles of track length
SELECT quartile, count(*) AS tracks, min(milliseconds) AS shortest, max(milliseconds) AS longest, round(avg(milliseconds), 3) AS mean
FROM (SELECT milliseconds, ntile(4) OVER (ORDER BY milliseconds, track_id) AS quartile FROM track) q
GROUP BY quartile ORDER BY quartile;
-- 12. countries with customers and none with employees
SELECT country FROM customer EXCEPT SELECT country FROM employee ORDER BY 1;
-- 13. cities of customers and employees together
SELECT city, country FROM customer UNION SELECT city, country FROM employee ORDER BY city, country;
-- 14. first and latest purchase, and the days between
SELECT c.customer_id, min(i.invoice_date)::date AS first, max(i.invoice_date)::date AS latest,
       max(i.invoice_date)::date - min(i.invoice_date)::date AS days
FROM customer c JOIN invoice i USING (customer_id) GROUP BY c.customer_id ORDER BY days DESC, c.customer_id;
-- 15. growth from year to year
WITH yearly AS (SELECT extract(year FROM invoice_date)::int AS year, sum(total) AS sales FROM invoice GROUP BY 1)
SELECT year, sales, sales - lag(sales) OVER (ORDER BY year) AS growth,
       round((sales / lag(sales) OVER (ORDER BY year) - 1) * 100, 2) AS percent
FROM yearly ORDER BY year;
-- 16. playlists by size, empty ones too
SELECT p.playlist_id, p.name, count(pt.track_id) AS tracks, coalesce(sum(t.unit_price), 0) AS price
FROM playlist p LEFT JOIN playlist_track pt ON pt.playlist_id = p.playlist_id LEFT JOIN track t ON t.track_id = pt.track_id
GROUP BY p.playlist_id, p.name ORDER BY tracks DESC, p.playlist_id;
-- 17. words in track names
SELECT lower(left(name, 1)) AS letter, count(*) AS tracks, max(length(name)) AS longest
FROM track WHERE name ~ '^[A-Za-z]' GROUP BY lower(left(name, 1)) ORDER BY letter;
-- 18. price bands
SELECT CASE WHEN unit_price < 1 THEN 'cheap' WHEN unit_price < 2 THEN 'dear' ELSE 'other' END AS band,
       count(*) AS tracks, count(*) FILTER (WHERE composer IS NULL) AS without_composer
FROM track GROUP BY 1 ORDER BY 1;
-- 19. the three best months of each year
SELECT year, month, sales, place FROM (
  SELECT extract(year FROM invoice_date) AS year, to_char(invoice_date, 'YYYY-MM') AS month, sum(total) AS sales,
         rank() OVER (PARTITION BY extract(year FROM invoice_date) ORDER BY sum(total) DESC) AS place
  FROM invoice GROUP BY extract(year FROM invoice_date), to_char(invoice_date, 'YYYY-MM')) m
WHERE place <= 3 ORDER BY year, place, month;
-- 20. customers who bought both rock and jazz
SELECT c.customer_id, c.last_name FROM customer c
WHERE EXISTS (SELECT 1 FROM invoice i JOIN invoice_line l ON l.invoice_id = i.invoice_id JOIN track t ON t.track_id = l.track_id JOIN genre g ON g.genre_id = t.genre_id WHERE i.customer_id = c.customer_id AND g.name = 'Rock')
  AND EXISTS (SELECT 1 FROM invoice i JOIN invoice_line l ON l.invoice_id = i.invoice_id JOIN track t ON t.track_id = l.track_id JOIN genre g ON g.genre_id = t.genre_id WHERE i.customer_id = c.customer_id AND g.name = 'Jazz')
ORDER BY c.customer_id;
-- 21. media types and bytes
SELECT m.name, sum(t.bytes::bigint) AS bytes, round(sum(t.bytes::numeric) / 1048576, 1) AS mib, round(avg(t.bytes) / 1024, 2) AS kib_each
FROM track t JOIN media_type m ON m.media_type_id = t.media_type_id GROUP BY m.media_type_id, m.name ORDER BY bytes DESC;
-- 22. each customer's latest invoice
SELECT c.customer_id, last.invoice_id, last.total
FROM customer c
CROSS JOIN LATERAL (SELECT i.invoice_id, i.total FROM invoice i WHERE i.customer_id = c.customer_id ORDER BY i.invoice_date DESC, i.invoice_id DESC LIMIT 1) last
ORDER BY c.customer_id;
-- 23. mail hosts
SELECT substring(email from position('@' in email) + 1) AS host, count(*) AS customers
FROM customer GROUP BY 1 HAVING count(*) > 1 ORDER BY customers DESC, host;
-- 24. ten days of the calendar with what was sold on them
SELECT d::date AS day, coalesce(sum(i.total), 0) AS sold
FROM generate_series(timestamp '2021-01-01', timestamp '2021-01-10', interval '1 day') AS d
LEFT JOIN invoice i ON i.invoice_date >= d AND i.invoice_date < d + interval '1 day'
GROUP BY d ORDER BY d;
-- 25. pairs of albums by one artist, and a moving average
SELECT ar.name, al.title, lead(al.title) OVER w AS next, count(*) OVER (PARTITION BY ar.artist_id) AS albums,
       round(avg(length(al.title)) OVER (PARTITION BY ar.artist_id ORDER BY al.title ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING), 4) AS smooth
FROM artist ar JOIN album al ON al.artist_id = ar.artist_id
WHERE ar.artist_id IN (SELECT artist_id FROM album GROUP BY artist_id HAVING count(*) >= 5)
WINDOW w AS (PARTITION BY ar.artist_id ORDER BY al.title)
ORDER BY ar.name, al.title;
