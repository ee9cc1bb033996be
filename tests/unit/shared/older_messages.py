"""The older, per-product messages, byte for byte as an existing publisher sends them: a promise."""

from typing import Final

RESERVE: Final = b'{"type":"RESERVE","data":{"orderId":"order_123","productId":"product_1","quantity":2}}'
RELEASE: Final = (
    b'{"type":"RELEASE","data":{"orderId":"order_123","productId":"product_1","quantity":2,'
    b'"reason":"PAYMENT_FAILED"}}'
)
RESERVED: Final = (
    b'{"type":"INVENTORY_RESERVED","data":{"orderId":"order_123","productId":"product_1","quantity":2}}'
)
RESERVE_FAILED: Final = (
    b'{"type":"INVENTORY_RESERVE_FAILED","data":{"orderId":"order_123","productId":"product_1",'
    b'"reason":"Insufficient stock. Available: 0, Requested: 2"}}'
)
STOCK_RESERVED: Final = (
    b'{"orderId":"order_123","totalPrice":299.99,"currency":"USD","products":'
    b'[{"productId":"product_1","quantity":2,"price":99.99},'
    b'{"productId":"product_2","quantity":1,"price":100.01}]}'
)
PAYMENT_SUCCEEDED: Final = (
    b'{"type":"PAYMENT_SUCCEEDED","data":{"orderId":"order_123","transactionId":"txn_abc",'
    b'"amount":299.99,"currency":"USD"}}'
)
PAYMENT_FAILED: Final = (
    b'{"type":"PAYMENT_FAILED","data":{"orderId":"order_123","transactionId":"txn_failed",'
    b'"amount":299.99,"currency":"USD","reason":"Mock gateway declined the payment"}}'
)
PAYMENT_FAILED_COMPENSATION: Final = (
    b'{"type":"PAYMENT_FAILED","data":{"orderId":"order_123","transactionId":"txn_failed",'
    b'"amount":299.99,"currency":"USD","reason":"Mock gateway declined the payment",'
    b'"compensation":true,"products":[{"productId":"product_1","quantity":2}]}}'
)
